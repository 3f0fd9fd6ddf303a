"""What an owner says about an experiment: its definition.

A JSON body comes in and is checked field by field; fields of the experiment's hash in Redis go out,
and back. Read `definition`.
"""
