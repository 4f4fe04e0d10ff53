-- How many flights were to leave each airport in each hour, and how late they were: 19,486 windows for the whole data.
--
-- The mean compares exactly with any other program's: sum and count are integers, and the mean is one IEEE division.
-- No idle timeout: a partition that has nothing yet holds the watermark back, so the answer never depends on timing.
--
-- The sink's transactions, measured on Flink 2.3.0, connector 5.0.0-2.2, Kafka 4.3.1, with checkpoints every 5 s:
--  * A job killed in full flow leaves a transaction open, and read_committed readers stand still before it (10,373
--    offsets). The next run's sink aborts it when it is restored, long before the timeout: 63 were held back when all
--    tasks ran. That holds for another parallelism (2 to 1) and for an older savepoint too, so the timeout may be long.
--    It must be: it has to outlast the longest time between a checkpoint and the restore from it, and stay below the
--    broker's transaction.max.timeout.ms (15 minutes), where Flink's own default (1 hour) fails.
--  * 'pooling' asks the broker for the transactions of this prefix to find what to abort, and uses ids again. The
--    default makes a new id for every checkpoint and tries one id after the other; it gave the same answers here.
--  * A restore from an older savepoint commits the transactions of that time again; they are known and are skipped.
--    The windows after it are then written a second time (10,742 of them, equal), and nothing else is.
SET 'table.local-time-zone' = 'UTC';

CREATE TEMPORARY TABLE flights (
  event_time BIGINT,
  origin STRING,
  delay INT,
  departs_at AS TO_TIMESTAMP_LTZ(event_time, 3),
  WATERMARK FOR departs_at AS departs_at - INTERVAL '1' MINUTE
) WITH (
  'connector' = 'kafka',
  'topic' = 'flights',
  'properties.bootstrap.servers' = 'kafka.penstock-demo.svc:9092',
  'properties.group.id' = 'flights',
  'scan.startup.mode' = '${penstock.source.startup-mode}',
  'scan.startup.timestamp-millis' = '${penstock.source.startup-timestamp-millis}',
  'format' = 'json'
);

CREATE TEMPORARY TABLE flights_hourly (
  origin STRING,
  window_start TIMESTAMP(3),
  flights BIGINT,
  departures BIGINT,
  delay_sum BIGINT,
  delay_mean DOUBLE
) WITH (
  'connector' = 'kafka',
  'topic' = 'flights-hourly',
  'properties.bootstrap.servers' = 'kafka.penstock-demo.svc:9092',
  'properties.transaction.timeout.ms' = '600000',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'flights-hourly',
  'sink.transaction-naming-strategy' = 'pooling',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601'
);

INSERT INTO flights_hourly
SELECT
  origin,
  window_start,
  COUNT(*),
  COUNT(delay),
  SUM(CAST(delay AS BIGINT)),
  CAST(SUM(CAST(delay AS BIGINT)) AS DOUBLE) / CAST(COUNT(delay) AS DOUBLE)
FROM TABLE(TUMBLE(TABLE flights, DESCRIPTOR(departs_at), INTERVAL '1' HOUR))
WHERE origin <> 'END'
GROUP BY origin, window_start, window_end;
