{{ config(
  materialized='incremental',
  incremental_strategy=signalwire_logs.by_days(),
  unique_key='created_date',
  partition_by={'field': 'created_date', 'data_type': 'date'} if target.type == 'bigquery' else none,
  on_schema_change='fail',
) }}

with counted as (
  select
    created_date,
    kind,
    count(*) as messages,
    {{ signalwire_logs.count_where("outcome = 'delivered'") }} as delivered,
    {{ signalwire_logs.count_where("outcome = 'undelivered'") }} as undelivered,
    {{ signalwire_logs.count_where("outcome = 'failed'") }} as failed,
    {{ signalwire_logs.count_where("outcome = 'pending'") }} as pending,
    {{ signalwire_logs.count_where("outcome = 'no_receipt'") }} as no_receipt,
    {{ signalwire_logs.count_where("outcome in ('unknown', 'received')") }} as unknown,
    {{ signalwire_logs.whole_sum('number_of_segments') }} as segments,
    sum(charge) as charge,
    max(changed_at) as changed_at
  from {{ ref('message_enhanced') }}
  where
    direction_group = 'outbound'
    and created_date is not null
    {%- if is_incremental() %}
    and created_date in (
      select created_date
      from {{ ref('message_enhanced') }}
      where changed_at > (select coalesce(max(known.changed_at), cast('1970-01-01 00:00:00' as {{ dbt.type_timestamp() }})) from {{ this }} as known)
    )
    {%- endif %}
  group by created_date, kind
)

select
  created_date,
  kind,
  messages,
  delivered,
  undelivered,
  failed,
  pending,
  no_receipt,
  unknown,
  case when kind <> 'mms' then {{ signalwire_logs.delivery_rate('delivered', 'undelivered', 'failed') }} end as delivery_rate,
  segments,
  charge,
  changed_at
from counted
