"""Measurements side by side with what else there is: one command prints all tables, benchmarks/run.sh."""
