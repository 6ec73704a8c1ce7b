with itemised as (
  select family, log_id, sum(charge) as charge
  from {{ ref('stg_signalwire__charge_details') }}
  group by family, log_id
),

entries as (
  select logs.*, details.description, details.charge as amount
  from {{ ref('int_charged_logs') }} as logs
  inner join {{ ref('stg_signalwire__charge_details') }} as details
    on details.family = logs.family and details.log_id = logs.log_id
  union all
  -- What a charge has beyond its details, so that the sums are those of the charges.
  select logs.*, '(not itemised)' as description, logs.charge - coalesce(itemised.charge, 0) as amount
  from {{ ref('int_charged_logs') }} as logs
  left join itemised on itemised.family = logs.family and itemised.log_id = logs.log_id
  where logs.charge is not null and logs.charge <> coalesce(itemised.charge, 0)
)

select
  cast(created_at as date) as created_date,
  family,
  case
    when direction = 'inbound' then 'inbound'
    when direction like 'outbound%' then 'outbound'
    else 'other'
  end as direction_group,
  kind,
  coalesce(description, '(no description)') as description,
  count(distinct log_id) as logs,
  sum(amount) as charge
from entries
where created_at is not null and amount is not null
group by
  cast(created_at as date),
  family,
  case
    when direction = 'inbound' then 'inbound'
    when direction like 'outbound%' then 'outbound'
    else 'other'
  end,
  kind,
  coalesce(description, '(no description)')
