# RabbitMQ from Debian, with what docker-compose.yml uses of the official image: for where no registry can be reached.
FROM debian:bookworm-slim
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \
 && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rabbitmq-server >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/lib/rabbitmq/* /var/lib/rabbitmq/.erlang.cookie && install -d -o rabbitmq -g rabbitmq /var/lib/rabbitmq /var/lib/rabbitmq/mnesia /etc/rabbitmq/conf.d && chmod 777 /var/log/rabbitmq
ENV RABBITMQ_LOGS=- RABBITMQ_CONFIG_FILES=/etc/rabbitmq/conf.d RABBITMQ_PID_FILE=/var/lib/rabbitmq/mnesia/rabbitmq.pid HOME=/var/lib/rabbitmq LANG=C.UTF-8 \
    PATH=/usr/lib/rabbitmq/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER rabbitmq
CMD ["/usr/lib/rabbitmq/bin/rabbitmq-server"]
