"""Numbers -> pictures, and the page that they stand in: no script, nothing loaded, light and dark."""
