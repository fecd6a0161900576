"""Publishes usage events, one JSON object a line of standard input: see ../README.md."""

import hashlib
import json
import os
import sys

import pika

STREAM = os.environ.get("RABBITMQ_STREAM", "analytics.usage.v1")
PARTITIONS = int(os.environ.get("RABBITMQ_STREAM_PARTITIONS", "1"))


def queue_of(org_id: str) -> str:
    digest = hashlib.sha256(org_id.lower().encode()).digest()
    number = int.from_bytes(digest[:4], "big") % PARTITIONS
    return STREAM if PARTITIONS == 1 else f"{STREAM}-{number}"


url = os.environ.get("RABBITMQ_URL", "amqp://127.0.0.1")
with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    channel.confirm_delivery()  # Each publish waits for its confirm, and raises without.
    for line in filter(None, map(bytes.strip, sys.stdin.buffer)):
        event = json.loads(line)
        properties = pika.BasicProperties(delivery_mode=2, message_id=event["eventId"])
        channel.basic_publish("", queue_of(event["orgId"]), line, properties, mandatory=True)
