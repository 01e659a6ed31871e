"""Log retention and shipping as code: `python -m scripts.logs` makes deploy/logs/ from its policy.yml."""
