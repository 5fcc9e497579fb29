"""What records say of routers, read and written in one place."""
