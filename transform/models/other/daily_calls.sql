select
  cast(created_at as date) as created_date,
  coalesce(type, 'unknown') as call_type,
  coalesce(direction, 'unknown') as direction,
  count(*) as calls,
  {{ signalwire_logs.count_where("status in ('completed', 'ended', 'joined', 'answered') and coalesce(duration, duration_ms, 1) > 0") }} as answered,
  {{ signalwire_logs.count_where("status = 'busy'") }} as busy,
  {{ signalwire_logs.count_where("status = 'no-answer'") }} as no_answer,
  {{ signalwire_logs.count_where("status = 'canceled'") }} as canceled,
  {{ signalwire_logs.count_where("status = 'failed'") }} as failed,
  {{ signalwire_logs.count_where("status in ('queued', 'initiated', 'created', 'ringing', 'in-progress', 'ending')") }} as running,
  {{ signalwire_logs.whole_sum('coalesce(duration, 0)') }} as seconds,
  sum(charge) as charge
from {{ ref('stg_signalwire__voice_logs') }}
where created_at is not null
group by cast(created_at as date), coalesce(type, 'unknown'), coalesce(direction, 'unknown')
