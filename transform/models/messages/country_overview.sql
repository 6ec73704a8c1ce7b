with counted as (
  select
    coalesce(contact_country, 'unknown') as country,
    count(*) as messages,
    {{ signalwire_logs.count_where("kind <> 'mms' and outcome = 'delivered'") }} as delivered,
    {{ signalwire_logs.count_where("kind <> 'mms' and outcome = 'undelivered'") }} as undelivered,
    {{ signalwire_logs.count_where("kind <> 'mms' and outcome = 'failed'") }} as failed,
    {{ signalwire_logs.count_where("outcome = 'pending'") }} as pending,
    {{ signalwire_logs.whole_sum('number_of_segments') }} as segments,
    sum(charge) as charge
  from {{ ref('message_enhanced') }}
  where direction_group = 'outbound'
  group by coalesce(contact_country, 'unknown')
)

select
  country,
  messages,
  delivered,
  undelivered,
  failed,
  pending,
  {{ signalwire_logs.delivery_rate('delivered', 'undelivered', 'failed') }} as delivery_rate,
  {{ signalwire_logs.rate_bound('delivered', '(delivered + undelivered + failed)', '-') }} as delivery_rate_low,
  {{ signalwire_logs.rate_bound('delivered', '(delivered + undelivered + failed)', '+') }} as delivery_rate_high,
  segments,
  charge
from counted
