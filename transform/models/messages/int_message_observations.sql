{{ config(materialized='view') }}

select
  id as message_id,
  created_at,
  direction,
  kind,
  status,
  charge,
  error_code,
  error_message,
  {{ signalwire_logs.outcome('status', 'direction', 'kind') }} in ('delivered', 'undelivered', 'failed', 'received') as is_final,
  coalesce(extracted_at, {{ signalwire_logs.right_now() }}) as observed_at
from {{ ref('stg_signalwire__message_logs') }}
