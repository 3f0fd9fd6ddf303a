"""An experiment's definition: what its owner declares about it.

A request's JSON body comes in and is checked field by field. The checked fields go into the
experiment's settings, a hash in Redis, and are read back from there. Read `definition`.
"""
