-- Run once by Postgres' image, in an empty data folder: the application's role with its database, and a role that may
-- only monitor. pg_monitor reads statistics; SELECT on the tables is for the business figures.
\set demo `cat /run/watchkeeper/postgres_demo_password`
\set watchkeeper `cat /run/watchkeeper/postgres_watchkeeper_password`

CREATE ROLE demo LOGIN PASSWORD :'demo';
CREATE ROLE watchkeeper LOGIN PASSWORD :'watchkeeper' IN ROLE pg_monitor;
CREATE DATABASE demo OWNER demo;

\connect demo
CREATE EXTENSION pg_stat_statements;
ALTER DEFAULT PRIVILEGES FOR ROLE demo GRANT SELECT ON TABLES TO watchkeeper;
