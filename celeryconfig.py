"""Celery's settings: only those that act on a pool of threads, each with its reason.

The addresses come from ``worker.settings``; a wrong setting there raises Misconfigured.
"""

import ssl
from urllib.parse import urlsplit

from kombu.entity import Exchange, Queue

from worker.job import DEAD_LETTERS, Lane
from worker.settings import Settings

_settings = Settings.load()

broker_url = _settings.broker
broker_connection_retry_on_startup = True  # a worker that is up before its broker waits for it
broker_connection_max_retries = None  # for ever: whoever started the worker decides when it is enough
broker_channel_error_retry = True  # a queue that RabbitMQ closed on us is opened again
broker_heartbeat = 10  # RabbitMQ: a connection that is dead without a word is noticed within 20 s
_RABBITMQ = {
    "confirm_publish": True,  # a message is sent when RabbitMQ has it on disk, not before
    "connect_timeout": 5,
    "read_timeout": 10,  # a broker that hangs is a broker that is gone
    "write_timeout": 10,
}
_VALKEY = {
    "visibility_timeout": 30,  # a killed worker's message comes back after so long …
    "unacked_restore_interval": 5,  # … looked for every five seconds …
    "unacked_restore_throttle": 1,  # … each time, not each tenth time
    "socket_timeout": 10,  # a broker that hangs is a broker that is gone
    "socket_connect_timeout": 5,
    "socket_keepalive": True,  # a cable that was pulled is noticed
    "health_check_interval": 15,
}
broker_transport_options = _RABBITMQ if _settings.by_amqp else _VALKEY
if urlsplit(broker_url).scheme == "amqps":  # without this the certificate would not be looked at
    broker_use_ssl = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": urlsplit(broker_url).hostname}

# For RabbitMQ; Valkey knows none of it. What it has given out too often is kept, and looked at by the sweeper.
_LASTING = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 100,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD_LETTERS,
}
task_queues = [
    Queue(lane.queue, Exchange(lane.queue), routing_key=lane.queue, queue_arguments=_LASTING) for lane in Lane
]
task_default_queue = Lane.INTERACTIVE.queue
task_create_missing_queues = False  # a mistyped queue is an error, not a queue that nobody reads
task_acks_late = True  # a message is acknowledged when its job has ended, so a killed worker loses none
worker_prefetch_multiplier = 1  # no worker sits on jobs that another could begin
worker_eta_task_limit = 1000  # jobs that wait are held in memory until their time: bound them

worker_consumer = "worker.consumer:Consumer"
worker_pool = "threads"  # jobs wait for the ERP, and a session belongs to one process
worker_concurrency = 4
worker_redirect_stdouts = False  # what is printed stays as it was printed
# A thread cannot be cancelled; should its job be begun again elsewhere, the job store refuses what it writes.
worker_cancel_long_running_tasks_on_connection_loss = False

task_serializer = result_serializer = event_serializer = "json"
accept_content = result_accept_content = ["json"]  # anything else would let a stranger run code here

result_backend = _settings.store_for_celery
result_extended = True  # name, arguments and worker beside each result; a job holds no secret
result_expires = 86_400
redis_socket_timeout = 10
redis_retry_on_timeout = True
redis_backend_health_check_interval = 15  # a connection that died while idle is noticed

worker_send_task_events = True  # for those who watch: celery events, flower
task_send_sent_event = True
