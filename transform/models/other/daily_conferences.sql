select
  cast(created_at as date) as created_date,
  coalesce(type, 'unknown') as conference_type,
  count(*) as conferences,
  {{ signalwire_logs.count_where("status = 'completed'") }} as completed,
  {{ signalwire_logs.count_where("status is null or status <> 'completed'") }} as running,
  {{ signalwire_logs.whole_sum('coalesce(current_participants, 0)') }} as present,
  {{ signalwire_logs.whole_sum('coalesce(recording_duration, 0)') }} as recorded_seconds,
  sum(charge) as charge
from {{ ref('stg_signalwire__conference_logs') }}
where created_at is not null
group by cast(created_at as date), coalesce(type, 'unknown')
