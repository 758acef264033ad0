-- SQLite's archive has a log in front of it, because its write-ahead log is one of pages. PostgreSQL's is one of rows:
-- archived messages go where they belong at once, and nothing is to be made here.
SELECT 1;
