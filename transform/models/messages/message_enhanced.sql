{{ config(
  materialized='incremental',
  incremental_strategy='merge' if target.type == 'bigquery' else 'delete+insert',
  unique_key='message_id',
  on_schema_change='fail',
) }}

with messages as (
  select
    *,
    case
      when direction = 'inbound' then 'inbound'
      when direction like 'outbound%' then 'outbound'
      else 'other'
    end as direction_group,
    {{ signalwire_logs.outcome('status', 'direction', 'kind') }} as outcome
  from {{ ref('stg_signalwire__message_logs') }}
  {%- if is_incremental() and var('signalwire_lookback_days') is not none %}
  where created_at >= {{ dbt.dateadd('day', -1 * (var('signalwire_lookback_days') | int), signalwire_logs.right_now()) }}
  {%- endif %}
),

with_sides as (
  select
    *,
    case when direction_group = 'inbound' then to_number else from_number end as our_number,
    case when direction_group = 'inbound' then from_number else to_number end as contact_number
  from messages
),

enhanced as (
  select
    with_sides.id as message_id,
    with_sides.created_at,
    cast(with_sides.created_at as date) as created_date,
    with_sides.direction,
    with_sides.direction_group,
    coalesce(with_sides.kind, 'unknown') as kind,
    with_sides.source,
    with_sides.type as message_type,
    with_sides.status,
    with_sides.outcome,
    with_sides.outcome in ('delivered', 'undelivered', 'failed', 'received') as is_final,
    with_sides.from_number,
    with_sides.to_number,
    with_sides.our_number,
    with_sides.contact_number,
    ours.number_kind as our_number_kind,
    ours.country as our_country,
    contacts.number_kind as contact_number_kind,
    contacts.country as contact_country,
    with_sides.number_of_segments,
    with_sides.charge,
    with_sides.error_code,
    with_sides.error_message,
    with_sides.url,
    with_sides.discarded_at,
    {{ dbt.hash(dbt.concat([
      "'" ~ signalwire_logs.meaning_version() ~ "'"
    ] + [
      "'|'", "coalesce(with_sides.status, '')",
      "'|'", "coalesce(with_sides.direction, '')",
      "'|'", "coalesce(with_sides.kind, '')",
      "'|'", "coalesce(with_sides.source, '')",
      "'|'", "coalesce(with_sides.type, '')",
      "'|'", "coalesce(with_sides.from_number, '')",
      "'|'", "coalesce(with_sides.to_number, '')",
      "'|'", "coalesce(ours.country, '')",
      "'|'", "coalesce(contacts.country, '')",
      "'|'", "coalesce(with_sides.url, '')",
      "'|'", "coalesce(with_sides.error_code, '')",
      "'|'", "coalesce(with_sides.error_message, '')",
      "'|'", "coalesce(cast(with_sides.charge as " ~ dbt.type_string() ~ "), '')",
      "'|'", "coalesce(cast(with_sides.number_of_segments as " ~ dbt.type_string() ~ "), '')",
      "'|'", "coalesce(cast(with_sides.created_at as " ~ dbt.type_string() ~ "), '')",
      "'|'", "coalesce(cast(with_sides.discarded_at as " ~ dbt.type_string() ~ "), '')",
    ])) }} as version_key
  from with_sides
  left join {{ ref('numbers') }} as ours on ours.number = with_sides.our_number
  left join {{ ref('numbers') }} as contacts on contacts.number = with_sides.contact_number
)

select
  enhanced.*,
  {{ signalwire_logs.run_time() }} as changed_at
from enhanced
{%- if is_incremental() %}
left join {{ this }} as known on known.message_id = enhanced.message_id
where known.message_id is null or known.version_key <> enhanced.version_key
{%- endif %}
