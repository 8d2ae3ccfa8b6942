"""The standard dialect: every shape of answer that was seen in the field, and what each of them proves."""
