"""The demo SaaS behind its routes: database, cache, accounts, billing, invoices and AI summaries."""
