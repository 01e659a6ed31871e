"""The whole monitoring stack on this machine, as processes of our own."""
