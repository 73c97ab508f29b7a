"""From whom mails are: senders, the domains that their addresses may be of, and the DKIM keys of these."""
