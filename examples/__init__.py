"""The demo SaaS and what it needs around it: an AI stand-in, a load generator and an alert receiver."""
