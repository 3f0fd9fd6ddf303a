"""Backup, restore and move: what Gimel has in one Redis, written to a file or to another Redis.

`reading` finds everything that belongs to Gimel in a Redis: one section for each experiment, and
one for each namespace. `file` writes sections to a file and reads them back, and `checking` checks
what it reads. `merging` adds sections to a Redis. HyperLogLogs and sets only grow, so adding twice
does no harm, and events may flow meanwhile. `restoring` merges a file, and `moving` copies from one
Redis to another until nothing new arrives. `registers` compares HyperLogLogs. No section is held in
memory as a whole.

This package is used by commands only, so it does not ship to Lambda. Read `section` first.
"""
