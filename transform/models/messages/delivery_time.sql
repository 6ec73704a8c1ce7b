with watched as (
  select
    message_id,
    created_at,
    direction,
    kind,
    min(dbt_valid_from) as first_seen_at,
    min(case when is_final then dbt_valid_from end) as final_seen_at
  from {{ ref('message_history') }}
  group by message_id, created_at, direction, kind
),

began as (
  select min(first_seen_at) as watching_since from watched
),

timed as (
  select
    watched.message_id,
    watched.created_at,
    watched.kind,
    watched.first_seen_at,
    watched.final_seen_at,
    {{ dbt.datediff('watched.created_at', 'watched.final_seen_at', 'second') }} as seconds_to_final_at_most,
    -- Of older ones only the slow were still to be seen without an outcome: they would make the time seem long.
    watched.created_at >= began.watching_since as is_telling
  from watched
  cross join began
  where watched.direction like 'outbound%'
)

select * from timed
