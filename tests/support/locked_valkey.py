"""The password of the Valkey that refuses."""

SECRET = "hunter2-p@ss"
URL_SECRET = "hunter2-p%40ss"
