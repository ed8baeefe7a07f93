"""The kinds of rows a bulk job can send: what columns each has, how they are checked, and which calls they become."""
