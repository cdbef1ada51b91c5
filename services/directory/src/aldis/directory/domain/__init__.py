"""The directory's rules, without I/O: names, passwords, what may happen to an account, who is slowed down."""
