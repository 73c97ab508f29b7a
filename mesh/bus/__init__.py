"""The message bus: a Protocol, its topology as data, and the RabbitMQ adapter."""
