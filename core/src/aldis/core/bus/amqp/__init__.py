"""The bus over RabbitMQ: AMQP 0-9-1 spoken by this package and by nothing else."""
