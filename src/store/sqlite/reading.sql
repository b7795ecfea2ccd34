-- What every connection is set to. SQLite's own words stand in these two files and nowhere else, but for checks and
-- clean-ups.

-- Little memory (KiB): the system caches the file anyway.
PRAGMA cache_size = -512;
-- A damaged page is an error, not a surprise.
PRAGMA cell_size_check = ON;
PRAGMA trusted_schema = OFF;
