"""Result records, their store, statistics, tables, plots and the HTML page. Knows no model and no suite."""
