"""What keeps cells apart: processes that end together, forked from one that has done the imports, bounded in memory."""
