{{ config(severity='warn') }}

-- A Space is rarely silent for so long: does the pipeline still run? (variable `signalwire_fresh_hours`)
with newest as (
  select max(created_at) as created_at from {{ ref('message_enhanced') }}
)

select *
from newest
where created_at < {{ dbt.dateadd('hour', -1 * (var('signalwire_fresh_hours') | int), signalwire_logs.right_now()) }}
