"""Senders between their messages and models."""

from clarion.template.v1 import sender_pb2 as messages
from mesh.rpc.timestamps import to_timestamp
from template_svc.senders.models import Identity, NewSender, Sender, SenderDomain


def sender_from_proto(sender: messages.Sender) -> NewSender:
    return NewSender(sender.email, sender.display_name, sender.reply_to_email, sender.default_sender, domain=None)


def sender_to_proto(sender: Sender) -> messages.Sender:
    return messages.Sender(
        name=sender.name,
        email=sender.email,
        display_name=sender.display_name,
        reply_to_email=sender.reply_to_email,
        default_sender=sender.is_default,
        update_time=to_timestamp(sender.update_time),
    )


def domain_to_proto(domain: SenderDomain) -> messages.SenderDomain:
    return messages.SenderDomain(
        domain=domain.domain,
        verified=domain.verified,
        record=messages.DnsRecord(name=domain.record_name, type="TXT", value=domain.record_value),
        problem=domain.problem,
        create_time=to_timestamp(domain.create_time),
        check_time=None if domain.check_time is None else to_timestamp(domain.check_time),
    )


def identity_to_proto(identity: Identity) -> messages.MessageSender:
    return messages.MessageSender(**identity._asdict())
