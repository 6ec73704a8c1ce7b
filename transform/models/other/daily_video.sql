select
  cast(created_at as date) as created_date,
  coalesce(type, 'unknown') as session_type,
  count(*) as sessions,
  {{ signalwire_logs.count_where("status = 'completed'") }} as completed,
  {{ signalwire_logs.count_where("status is null or status <> 'completed'") }} as running,
  {{ signalwire_logs.whole_sum('coalesce(' ~ dbt.datediff('started_at', 'ended_at', 'second') ~ ', 0)') }} as seconds,
  sum(charge) as charge
from {{ ref('stg_signalwire__video_logs') }}
where created_at is not null
group by cast(created_at as date), coalesce(type, 'unknown')
