{% test parts_make_the_whole(model, whole, parts) %}
select * from {{ model }} where {{ whole }} <> {{ parts | join(' + ') }}
{% endtest %}
