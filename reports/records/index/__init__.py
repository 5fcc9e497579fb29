"""The index of a result folder: what tables need of each record, in one SQLite file that is never the truth."""
