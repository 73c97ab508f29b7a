"""Senders between their messages and models."""

from clarion.template.v1 import sender_pb2 as messages
from mesh.rpc.timestamps import to_timestamp
from template_svc.senders.models import Identity, NewSender, Record, Sender, SenderDomain


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
        record=_record(domain.record),
        problem=domain.problem,
        create_time=to_timestamp(domain.create_time),
        check_time=None if domain.check_time is None else to_timestamp(domain.check_time),
        next_record=None if domain.next is None else _record(domain.next),
        next_problem=domain.next_problem,
        former_record=None if domain.former is None else _record(domain.former),
        rotate_time=None if domain.rotate_time is None else to_timestamp(domain.rotate_time),
    )


def _record(record: Record) -> messages.DnsRecord:
    return messages.DnsRecord(name=record.name, type="TXT", value=record.value)


def identity_to_proto(identity: Identity) -> messages.MessageSender:
    return messages.MessageSender(**identity._asdict())
