with counted as (
  select
    our_number as number,
    our_number_kind as number_kind,
    our_country as country,
    {{ signalwire_logs.count_where("direction_group = 'outbound'") }} as outbound,
    {{ signalwire_logs.count_where("direction_group = 'inbound'") }} as inbound,
    {{ signalwire_logs.count_where("direction_group = 'outbound' and kind <> 'mms' and outcome = 'delivered'") }} as delivered,
    {{ signalwire_logs.count_where("direction_group = 'outbound' and kind <> 'mms' and outcome = 'undelivered'") }} as undelivered,
    {{ signalwire_logs.count_where("direction_group = 'outbound' and kind <> 'mms' and outcome = 'failed'") }} as failed,
    {{ signalwire_logs.count_where("direction_group = 'outbound' and outcome = 'pending'") }} as pending,
    count(distinct case when direction_group = 'outbound' then contact_number end) as recipients,
    sum(charge) as charge,
    min(created_at) as first_message_at,
    max(created_at) as last_message_at
  from {{ ref('message_enhanced') }}
  where our_number is not null
  group by our_number, our_number_kind, our_country
)

select
  number,
  number_kind,
  country,
  outbound,
  inbound,
  delivered,
  undelivered,
  failed,
  pending,
  {{ signalwire_logs.delivery_rate('delivered', 'undelivered', 'failed') }} as delivery_rate,
  {{ signalwire_logs.rate_bound('delivered', '(delivered + undelivered + failed)', '-') }} as delivery_rate_low,
  {{ signalwire_logs.rate_bound('delivered', '(delivered + undelivered + failed)', '+') }} as delivery_rate_high,
  recipients,
  charge,
  first_message_at,
  last_message_at
from counted
