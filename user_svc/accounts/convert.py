"""Mails about accounts from models to their messages."""

from clarion.user.v1 import account_service_pb2 as rpc
from clarion.user.v1 import recipient_service_pb2
from user_svc.accounts.models import TEMPLATE_OF, AccountMail, AccountSecret


def mail_to_proto(mail: AccountMail) -> rpc.AccountMail:
    return rpc.AccountMail(id=mail.id, project=mail.project, user_id=mail.user_id, template=TEMPLATE_OF[mail.purpose])


def secret_to_proto(secret: AccountSecret) -> recipient_service_pb2.AccountSecret:
    return recipient_service_pb2.AccountSecret(link=secret.link, code=secret.code, brand=secret.brand)
