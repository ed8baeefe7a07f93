"""Bulk jobs: many buyer messages from a file, at most one for each order, whatever happens in between.

`source` makes rows of a file, with texts from a `template` if there is one; `variants` chooses among the languages of a
row. `kinds` says what each kind of message needs, `attachments` looks at files and uploads them, `journal` remembers
every row durably, `runner` sends them. `row` and `verdict` hold the rules.
Nothing is imported here: take the module you need.
"""
