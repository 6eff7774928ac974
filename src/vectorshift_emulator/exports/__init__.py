"""Exports: tasks, the files they write, and the signed URLs under which these are downloaded."""
