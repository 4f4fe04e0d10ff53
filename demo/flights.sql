-- How many flights were to leave each airport in each hour, and how late they were.
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
  'scan.startup.mode' = 'earliest-offset',
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
