-- PostgreSQL's archive is written with sums that are remembered from batch to batch. SQLite's log is put away with sums that
-- are read each time, and nothing is to be made here.
SELECT 1;
