"""Files that mails carry: each content once per project, for as long as a notification may need it."""
