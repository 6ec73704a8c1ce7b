with pending as (
  select
    status,
    kind,
    {{ dbt.datediff('created_at', signalwire_logs.right_now(), 'minute') }} as age_minutes,
    created_at
  from {{ ref('message_enhanced') }}
  where outcome = 'pending' and direction_group = 'outbound' and discarded_at is null
),

aged as (
  select
    *,
    case
      when age_minutes < 15 then 1
      when age_minutes < 60 then 2
      when age_minutes < 360 then 3
      when age_minutes < 1440 then 4
      when age_minutes < 4320 then 5
      else 6
    end as age_order
  from pending
)

select
  status,
  kind,
  age_order,
  case age_order
    when 1 then 'under 15 minutes'
    when 2 then '15 to 60 minutes'
    when 3 then '1 to 6 hours'
    when 4 then '6 to 24 hours'
    when 5 then '1 to 3 days'
    else 'over 3 days'
  end as age,
  count(*) as messages,
  min(created_at) as oldest_at
from aged
group by status, kind, age_order
