select
  'message_logs' as family, id as log_id, created_at, charge, direction,
  coalesce(kind, 'unknown') as kind
from {{ ref('stg_signalwire__message_logs') }}
union all
select 'voice_logs' as family, id as log_id, created_at, charge, direction, coalesce(type, 'unknown') as kind
from {{ ref('stg_signalwire__voice_logs') }}
union all
select 'fax_logs' as family, id as log_id, created_at, charge, direction, 'fax' as kind
from {{ ref('stg_signalwire__fax_logs') }}
union all
select
  'video_logs' as family, id as log_id, created_at, charge, cast(null as {{ dbt.type_string() }}) as direction,
  coalesce(type, 'unknown') as kind
from {{ ref('stg_signalwire__video_logs') }}
union all
-- A session may be in both lists: it is paid for once.
select
  'conference_logs' as family, id as log_id, created_at, charge, cast(null as {{ dbt.type_string() }}) as direction,
  coalesce(type, 'unknown') as kind
from {{ ref('stg_signalwire__conference_logs') }} as conferences
where not exists (select 1 from {{ ref('stg_signalwire__video_logs') }} as sessions where sessions.id = conferences.id)
