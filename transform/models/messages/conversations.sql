with pairs as (
  select
    our_number,
    contact_number,
    min(case when direction_group = 'outbound' then created_at end) as first_outbound_at
  from {{ ref('message_enhanced') }}
  where our_number is not null and contact_number is not null and created_at is not null
  group by our_number, contact_number
)

select
  pairs.our_number,
  pairs.contact_number,
  {{ signalwire_logs.count_where("messages.direction_group = 'outbound'") }} as outbound,
  {{ signalwire_logs.count_where("messages.direction_group = 'inbound'") }} as inbound,
  pairs.first_outbound_at,
  min(case when messages.direction_group = 'inbound' and messages.created_at > pairs.first_outbound_at then messages.created_at end) as first_reply_at,
  min(case when messages.direction_group = 'inbound' and messages.created_at > pairs.first_outbound_at then messages.created_at end) is not null as was_replied,
  {{ dbt.datediff(
    'pairs.first_outbound_at',
    "min(case when messages.direction_group = 'inbound' and messages.created_at > pairs.first_outbound_at then messages.created_at end)",
    'second'
  ) }} as seconds_to_reply,
  max(messages.created_at) as last_message_at
from pairs
inner join {{ ref('message_enhanced') }} as messages
  on messages.our_number = pairs.our_number and messages.contact_number = pairs.contact_number
where messages.created_at is not null
group by pairs.our_number, pairs.contact_number, pairs.first_outbound_at
