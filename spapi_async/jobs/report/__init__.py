"""What a journal says of a job, for people: `overview` and `pace` sum it up, `page`, `chart` and `table` show it.

All of these are pure; `reading` gets what they need from a journal, also while jobs run.
"""
