select
  cast(created_at as date) as created_date,
  coalesce(direction, 'unknown') as direction,
  count(*) as faxes,
  {{ signalwire_logs.count_where("status = 'completed'") }} as completed,
  {{ signalwire_logs.count_where("status in ('busy', 'failed', 'no-answer', 'canceled')") }} as not_completed,
  {{ signalwire_logs.count_where("status in ('queued', 'initiated', 'ringing', 'in-progress')") }} as running,
  {{ signalwire_logs.whole_sum('coalesce(number_of_pages, 0)') }} as pages,
  sum(charge) as charge
from {{ ref('stg_signalwire__fax_logs') }}
where created_at is not null
group by cast(created_at as date), coalesce(direction, 'unknown')
